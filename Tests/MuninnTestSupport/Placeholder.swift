// MuninnTestSupport
