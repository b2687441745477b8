// MuninnServer
