//! NumPy `.npy` arrays (format versions 1 to 3), read from bytes.
