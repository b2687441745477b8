// MuninnDisk
