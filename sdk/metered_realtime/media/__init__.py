"""Media on its way into and out of a peer: cameras, encoded pictures, files, sound. Import the module you need."""
