// Command function is what the tests of package built build.
package main

import "fmt"

func main() { fmt.Println("works") }
