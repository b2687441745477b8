// MuninnPipeline
