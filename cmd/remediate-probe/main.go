// Command remediate-probe runs on every node: it tries what pods' packets meet on
// their way to other pods, services, DNS and nodes, answers the probes of others
// with the source address that it saw, and writes what changed as lines of JSON to
// standard output.
//
// It needs no Kubernetes credentials: its membership and its key are files that the
// kubelet writes. Errors go to stderr. Exit codes: 0 ended by SIGTERM or SIGINT,
// 1 error, 2 a flag or an environment variable is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

// version is stamped by the linker.
var version = "dev"

const (
	// memoryLimit is what the Go runtime tries to stay under: with the binary's own
	// pages the container stays below 16 MiB. GOMEMLIMIT has precedence.
	memoryLimit = 9 << 20
	// gcPercent keeps the heap's slack small: it is a megabyte or two. GOGC has precedence.
	gcPercent = 40
	// processors are enough for twenty exchanges a second, and each costs memory.
	// GOMAXPROCS has precedence.
	processors = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func execute(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "version" {
		fmt.Fprintf(stdout, "remediate-probe %s\n", version)
		return 0
	}
	tune(getenv)
	o, err := parse(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "remediate-probe: error: %v\n", err)
		return 2
	}
	if err := run(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "remediate-probe: error: %v\n", err)
		return 1
	}
	return 0
}

// tune sets the runtime's limits where the environment does not.
func tune(getenv func(string) string) {
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(processors, runtime.GOMAXPROCS(0)))
	}
}
