"""Many clean and many poisoned adapters, all small: does vetting tell them apart, and at what price?"""
