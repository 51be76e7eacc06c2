// Command app is a program that has a dependency.
package main

import (
	"os"

	"github.com/package-url/packageurl-go"
)

func main() { _, _ = os.Stdout.WriteString(packageurl.TypeGolang) }
