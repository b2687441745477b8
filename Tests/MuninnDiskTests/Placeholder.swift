// MuninnDiskTests
