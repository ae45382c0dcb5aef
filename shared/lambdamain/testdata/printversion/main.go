// Command printversion prints the version that the linker has set.
package main

import (
	"fmt"

	"github.com/yunduo-scrm/archive/shared/lambdamain"
)

func main() { fmt.Println(lambdamain.Version) }
