"""A fleet of sensors: physics, faults that bend it, and devices that publish what they measure."""
