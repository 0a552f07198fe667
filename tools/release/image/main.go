// Command image builds the final stage of a container image FROM scratch over
// binaries that were built before, without a daemon, a base image or root.
//
// It writes an OCI image layout with one image for each platform, and pushes it
// where it is told to. The same binaries, version and time give the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "image: error:", err)
		os.Exit(1)
	}
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var (
		spec           Spec
		out, created   string
		binaries, push list
	)
	fs := flag.NewFlagSet("image", flag.ContinueOnError)
	fs.StringVar(&spec.Name, "name", "remediate", "name of the binary in the image")
	fs.StringVar(&spec.Version, "version", "devel", "version that the image says it is")
	fs.StringVar(&spec.Revision, "revision", "", "commit that the image says it is built from")
	fs.StringVar(&created, "created", os.Getenv("SOURCE_DATE_EPOCH"), "time of all that is in the image, in seconds since 1970; else 0")
	fs.BoolVar(&spec.Bare, "bare", false, "the binary alone, without certificates and writable directories")
	fs.Var(&binaries, "binary", "OS/ARCH=FILE, once for each platform")
	fs.StringVar(&out, "out", "", "folder for the OCI image layout; must not exist")
	fs.Var(&push, "push", "REPOSITORY:TAG to push to, any number of times")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := spec.complete(created, binaries); err != nil {
		return err
	}
	index, err := spec.Index()
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return fmt.Errorf("compute the image's digest: %w", err)
	}
	if out != "" {
		if err := write(out, index); err != nil {
			return err
		}
	}
	for _, ref := range push {
		if err := pushTo(ctx, ref, index); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(stdout, digest)
	return err
}

func (s *Spec) complete(created string, binaries []string) error {
	if created != "" {
		seconds, err := strconv.ParseInt(created, 10, 64)
		if err != nil {
			return fmt.Errorf("--created %q is no number of seconds", created)
		}
		s.Created = time.Unix(seconds, 0).UTC()
	} else {
		s.Created = time.Unix(0, 0).UTC()
	}
	for _, b := range binaries {
		platform, file, ok := strings.Cut(b, "=")
		p, err := v1.ParsePlatform(platform)
		if err != nil || !ok || p.OS == "" || p.Architecture == "" {
			return fmt.Errorf("--binary %q is not OS/ARCH=FILE", b)
		}
		s.Binaries = append(s.Binaries, Binary{Platform: *p, File: file})
	}
	if len(s.Binaries) == 0 {
		return errors.New("no --binary is given")
	}
	return nil
}

// write makes a layout that holds the index and nothing else.
func write(dir string, index v1.ImageIndex) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is there already: remove it, so that nothing old stays in the layout", dir)
	}
	l, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = l.AppendIndex(index)
	}
	if err != nil {
		return fmt.Errorf("write the image layout %s: %w", dir, err)
	}
	return nil
}

// pushTo takes the credentials of the user's Docker configuration.
func pushTo(ctx context.Context, ref string, index v1.ImageIndex) error {
	tag, err := name.NewTag(ref, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("--push: %w", err)
	}
	err = remote.WriteIndex(tag, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	return nil
}
