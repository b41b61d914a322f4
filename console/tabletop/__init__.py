"""The tabletop exercise as people see it: in the terminal, in browsers, and afterwards on paper."""
