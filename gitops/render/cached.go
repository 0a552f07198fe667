package render

import (
	"fmt"

	"github.com/remediate-dev/remediate/gitops/source"
)

// Cached returns the path of the chart's archive in the cache, and never asks
// the network. The error matches [ErrNoChart].
func Cached(c source.Chart, cacheDir string) (string, error) {
	if !safeName.MatchString(c.Name) {
		return "", fmt.Errorf("%w: the chart's name %q is not one", ErrNoChart, c.Name)
	}
	if file, ok := cached(cacheDir, c.Name, c.Version); ok {
		return file, nil
	}
	return "", fmt.Errorf("%w: %s %s is not in the cache and nothing may be pulled; give it with --chart", ErrNoChart, c.Name, c.Version)
}
