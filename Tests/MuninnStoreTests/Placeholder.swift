// MuninnStoreTests
