package repo

// Origin is the address of the remote called origin, or of the only remote;
// empty when there is none. It can hold credentials: show it through [Redact].
func (r *Repo) Origin() string {
	cfg, err := r.store.Config()
	if err != nil {
		return ""
	}
	remote := cfg.Remotes["origin"]
	if remote == nil && len(cfg.Remotes) == 1 {
		for _, only := range cfg.Remotes {
			remote = only
		}
	}
	if remote == nil || len(remote.URLs) == 0 {
		return ""
	}
	return remote.URLs[0]
}
