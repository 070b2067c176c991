"""Where events come from when no shop is connected: data sets, files and a generator, behind one interface."""
