// Command install writes everything of the default installation into one file, with
// the images of one version.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "install: error:", err)
		os.Exit(1)
	}
}

// images are what the bases name.
func images() []string {
	return []string{"ghcr.io/remediate-dev/remediate", "ghcr.io/remediate-dev/remediate-probe"}
}

func run(args []string, stdout io.Writer) error {
	fs := flag.NewFlagSet("install", flag.ContinueOnError)
	dir := fs.String("dir", "config/default", "folder with the kustomization")
	version := fs.String("version", "latest", "tag of the images")
	out := fs.String("out", "", "file to write; standard output without it")
	if err := fs.Parse(args); err != nil {
		return err
	}
	text, err := build(*dir, *version)
	if err != nil {
		return err
	}
	if *out == "" {
		_, err = stdout.Write(text)
		return err
	}
	if err := os.WriteFile(*out, text, 0o644); err != nil {
		return fmt.Errorf("write the installation: %w", err)
	}
	return nil
}

// build is the kustomization of dir, with the images of a version on top of it. The
// overlay is beside the real files and never written to disk.
func build(dir, version string) ([]byte, error) {
	base, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	resources, err := base.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	k := types.Kustomization{
		TypeMeta:  types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources: []string{"default.yaml"},
	}
	for _, image := range images() {
		k.Images = append(k.Images, types.Image{Name: image, NewTag: version})
	}
	overlay, err := yaml.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("set the images: %w", err)
	}
	fs := filesys.MakeFsInMemory()
	err = errors.Join(fs.WriteFile("/default.yaml", resources), fs.WriteFile("/kustomization.yaml", overlay))
	if err != nil {
		return nil, fmt.Errorf("set the images: %w", err)
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // namespaces and definitions before what needs them
	built, err := krusty.MakeKustomizer(options).Run(fs, "/")
	if err != nil {
		return nil, fmt.Errorf("set the images: %w", err)
	}
	text, err := built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("write the installation: %w", err)
	}
	head := "# remediate " + version + ": kubectl apply --server-side -f install.yaml\n"
	return append([]byte(head), text...), nil
}
