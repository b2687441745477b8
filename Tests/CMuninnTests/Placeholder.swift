// CMuninnTests
