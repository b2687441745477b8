// MuninnStore
