// MuninnFormatTests
