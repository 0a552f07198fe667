package main

const (
	home  = "https://github.com/remediate-dev/remediate"
	short = "Find out why Cilium drops packets, and propose the fix"
)

func address(version string, a archive) string {
	return home + "/releases/download/v" + version + "/" + a.name
}

// fluxPlugin is a plugin as flux reads it (fluxcd/plugins, schemas/plugin-cli-v1beta1.json).
type fluxPlugin struct {
	APIVersion  string        `json:"apiVersion"`
	Kind        string        `json:"kind"`
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Homepage    string        `json:"homepage"`
	Source      string        `json:"source"`
	Bin         string        `json:"bin"`
	Versions    []fluxVersion `json:"versions"`
}

type fluxVersion struct {
	Version   string         `json:"version"`
	Platforms []fluxPlatform `json:"platforms"`
}

type fluxPlatform struct {
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	URL      string `json:"url"`
	Checksum string `json:"checksum"`
	// ExtractPath is the binary in the archive, which is not called as flux calls it.
	ExtractPath string `json:"extractPath"`
}

func flux(version string, archives []archive) fluxPlugin {
	v := fluxVersion{Version: version}
	for _, a := range archives {
		v.Platforms = append(v.Platforms, fluxPlatform{
			OS: a.os, Arch: a.arch, URL: address(version, a), Checksum: "sha256:" + a.sum, ExtractPath: "remediate",
		})
	}
	return fluxPlugin{
		APIVersion: "cli.fluxcd.io/v1beta1", Kind: "Plugin", Name: "remediate", Bin: "flux-remediate",
		Description: short, Homepage: home, Source: home, Versions: []fluxVersion{v},
	}
}

// krewPlugin is a plugin as krew reads it (krew.sigs.k8s.io, "Writing Krew plugin manifests").
type krewPlugin struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       krewSpec          `json:"spec"`
}

type krewSpec struct {
	Version          string         `json:"version"`
	Homepage         string         `json:"homepage"`
	ShortDescription string         `json:"shortDescription"`
	Description      string         `json:"description"`
	Platforms        []krewPlatform `json:"platforms"`
}

type krewPlatform struct {
	Selector krewSelector `json:"selector"`
	URI      string       `json:"uri"`
	SHA256   string       `json:"sha256"`
	Bin      string       `json:"bin"`
	Files    []krewFile   `json:"files"`
}

type krewSelector struct {
	MatchLabels map[string]string `json:"matchLabels"`
}

type krewFile struct {
	From string `json:"from"`
	To   string `json:"to"`
}

func krew(version string, archives []archive) krewPlugin {
	spec := krewSpec{
		Version: "v" + version, Homepage: home, ShortDescription: short,
		Description: "Finds out why Cilium drops pods' packets on clusters that Flux manages: from the\n" +
			"configuration, and with probes that run for as long as the command does. Plans the\n" +
			"change of Helm values that fixes it, proves it, and opens a pull request if asked.\n",
	}
	for _, a := range archives {
		spec.Platforms = append(spec.Platforms, krewPlatform{
			Selector: krewSelector{map[string]string{"os": a.os, "arch": a.arch}},
			URI:      address(version, a), SHA256: a.sum, Bin: "remediate",
			Files: []krewFile{{From: "remediate", To: "."}, {From: "LICENSE", To: "."}},
		})
	}
	return krewPlugin{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin",
		Metadata: map[string]string{"name": "remediate"}, Spec: spec,
	}
}
