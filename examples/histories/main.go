//go:build ignore

// Command histories lays the histories out as Git repositories, one folder each,
// to try `remediate check` on: go run examples/histories/main.go DIR
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/remediate-dev/remediate/examples"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run examples/histories/main.go DIR")
		os.Exit(1)
	}
	for _, name := range examples.Histories() {
		dir := filepath.Join(os.Args[1], name)
		if err := examples.LayHistory(name, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(dir)
	}
}
