// MuninnFormat
