"""HTTP: what a process shows of its health, and lists, items and events for those who ask."""
