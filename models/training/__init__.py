"""From a simulated world to a shelf: simulate, window, label, fit, quantise, judge, measure, write."""
