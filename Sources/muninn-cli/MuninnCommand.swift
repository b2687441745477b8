@main
struct MuninnCommand { static func main() {} }
