// MuninnPipelineTests
