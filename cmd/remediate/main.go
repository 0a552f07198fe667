// Command remediate finds out why Cilium drops pods' packets on a cluster that
// Flux manages, and plans the change of Helm values that fixes it.
//
// It parses flags and wires packages; everything else is elsewhere. Data goes to
// stdout, progress and errors to stderr. Exit codes: 0 done, 1 error, 2 with
// --detailed-exitcode when there are findings of severity warning or critical.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // freezes name time zones, and the image has no files of them

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
)

// version is stamped by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// What client-go has to say on its own would stand between progress and errors.
	klog.SetLogger(logr.Discard())
	return execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// exitCode carries an exit status through cobra's error.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(stderr, "remediate: error: %s\n", strings.TrimSpace(err.Error()))
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(stderr, "remediate: hint: %s\n", hint)
	}
	return 1
}

// hintFor is what the error itself suggests to do next.
func hintFor(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	var f *forge.Error
	if errors.As(err, &f) {
		return f.Hint
	}
	var p *repo.PushError
	if errors.As(err, &p) {
		return p.Hint
	}
	return ""
}
