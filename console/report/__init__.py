"""A finished run as one page of HTML that needs no network, and as a summary in Markdown."""
