// Command plugins writes the manifests by which flux and krew install a release:
// where its archives are, and their checksums.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "plugins: error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("plugins", flag.ContinueOnError)
	version := fs.String("version", "", "version of the release, such as v0.1.0")
	sums := fs.String("checksums", "dist/checksums.txt", "the release's list of checksums")
	out := fs.String("out", "dist", "folder for flux-remediate.yaml and krew-remediate.yaml")
	if err := fs.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*sums)
	if err != nil {
		return fmt.Errorf("read the checksums: %w", err)
	}
	archives, err := parse(text, strings.TrimPrefix(*version, "v"))
	if err != nil {
		return fmt.Errorf("%s: %w", *sums, err)
	}
	for file, manifest := range map[string]any{
		"flux-remediate.yaml": flux(strings.TrimPrefix(*version, "v"), archives),
		"krew-remediate.yaml": krew(strings.TrimPrefix(*version, "v"), archives),
	} {
		text, err := yaml.Marshal(manifest)
		if err == nil {
			err = os.WriteFile(filepath.Join(*out, file), text, 0o644)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	return nil
}

// archive of a release, for one platform.
type archive struct{ name, os, arch, sum string }

var (
	semver = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)
	sum    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// platforms of a release: what action.yml asks for besides.
	platforms = regexp.MustCompile(`^(linux|darwin)_(amd64|arm64)$`)
)

// parse takes the archives out of a list of checksums, in its order.
func parse(text []byte, version string) ([]archive, error) {
	if !semver.MatchString(version) {
		return nil, fmt.Errorf("version %q is not of the form 1.2.3", version)
	}
	var out []archive
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) != 2 {
			continue
		}
		rest, ours := strings.CutPrefix(fields[1], "remediate_"+version+"_")
		platform, packed := strings.CutSuffix(rest, ".tar.gz")
		if !ours || !packed || !platforms.MatchString(platform) {
			continue
		}
		if !sum.MatchString(fields[0]) {
			return nil, fmt.Errorf("%q is no SHA-256 of %s", fields[0], fields[1])
		}
		system, arch, _ := strings.Cut(platform, "_")
		out = append(out, archive{fields[1], system, arch, fields[0]})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("names no archive remediate_%s_OS_ARCH.tar.gz", version)
	}
	return out, nil
}
