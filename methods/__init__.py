"""The built-in methods, one file per published method. Installed as the package `i2ibench.methods`."""
