"""Learning from a catalogue's own parts and clicks: alignment, fusion, and the tables that show their worth."""
