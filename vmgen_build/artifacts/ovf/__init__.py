"""OVF descriptors (DMTF DSP0243): a machine written as one, and one read with all that is wrong with it."""
