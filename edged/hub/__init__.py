"""The hub: a signalling service of one's own, compatible on the wire with the hosted one, and its viewer page."""
