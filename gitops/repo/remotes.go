package repo

import (
	"fmt"
	"slices"
)

// Remotes are the addresses that the checkout fetches from, sorted. They can
// hold credentials: show them through [Redact].
func (r *Repo) Remotes() ([]string, error) {
	cfg, err := r.store.Config()
	if err != nil {
		return nil, fmt.Errorf("read the configuration of %s: %w", r.root, err)
	}
	var out []string
	for _, remote := range cfg.Remotes {
		out = append(out, remote.URLs...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
