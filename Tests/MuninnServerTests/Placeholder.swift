// MuninnServerTests
