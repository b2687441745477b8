// MuninnTests
