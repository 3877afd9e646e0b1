// Command tocsin is the whole platform in one binary.
package main

import (
	"context"
	"os"

	"github.com/tocsin-push/tocsin/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
