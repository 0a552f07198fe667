package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is the number that everything runs as: no name is needed for it, and
// Kubernetes can tell from the image that it is not root.
const user = "65532"

// home is where the user may write; an emptyDir is mounted there.
const home = "/data"

const source = "https://github.com/remediate-dev/remediate"

// Binary is a static executable for one platform.
type Binary struct {
	Platform v1.Platform
	File     string
}

// Spec is an image for several platforms.
type Spec struct {
	// Name of the binary; it lies in /usr/local/bin, or in / when Bare.
	Name string
	// Version and Revision are told in labels and annotations.
	Version, Revision string
	// Created is the time of the image and of every file in it.
	Created time.Time
	// Bare leaves out all but the binary.
	Bare     bool
	Binaries []Binary
}

// Index is the image of all platforms.
func (s Spec) Index() (v1.ImageIndex, error) {
	var adds []mutate.IndexAddendum
	for _, b := range s.Binaries {
		img, err := s.image(b)
		if err != nil {
			return nil, fmt.Errorf("build the image for %s: %w", b.Platform, err)
		}
		platform := b.Platform
		adds = append(adds, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	annotated, ok := mutate.Annotations(mutate.AppendManifests(index, adds...), s.labels()).(v1.ImageIndex)
	if !ok {
		return nil, fmt.Errorf("annotate the index of %s", s.Name)
	}
	return annotated, nil
}

func (s Spec) image(b Binary) (v1.Image, error) {
	program, err := s.program(b)
	if err != nil {
		return nil, err
	}
	layers := []mutate.Addendum{s.addendum(program, "the binary")}
	if !s.Bare {
		root, err := s.layer(surroundings())
		if err != nil {
			return nil, err
		}
		layers = append([]mutate.Addendum{s.addendum(root, "certificates, users, writable directories")}, layers...)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(base, layers...)
	if err != nil {
		return nil, err
	}
	return s.configure(img, b)
}

func (s Spec) program(b Binary) (v1.Layer, error) {
	content, err := os.ReadFile(b.File)
	if err != nil {
		return nil, err
	}
	if err := fits(content, b.Platform); err != nil {
		return nil, fmt.Errorf("%s: %w", b.File, err)
	}
	return s.layer(append(parents(s.path()), entry{path: s.path(), mode: 0o755, content: content}))
}

func (s Spec) path() string {
	if s.Bare {
		return "/" + s.Name
	}
	return "/usr/local/bin/" + s.Name
}

func (s Spec) layer(entries []entry) (v1.Layer, error) {
	text, err := archive(entries, s.Created)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

func (s Spec) addendum(l v1.Layer, what string) mutate.Addendum {
	return mutate.Addendum{Layer: l, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: s.Created}, CreatedBy: what}}
}

func (s Spec) configure(img v1.Image, b Binary) (v1.Image, error) {
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Variant = b.Platform.OS, b.Platform.Architecture, b.Platform.Variant
	cfg.Created = v1.Time{Time: s.Created}
	cfg.Config = v1.Config{User: user + ":" + user, Entrypoint: []string{s.path()}, Labels: s.labels()}
	if !s.Bare {
		cfg.Config.Env = []string{"HOME=" + home, "PATH=/usr/local/bin"}
		cfg.Config.WorkingDir = home
	}
	return mutate.ConfigFile(img, cfg)
}

// labels are OCI's own annotation keys (image-spec, annotations.md).
func (s Spec) labels() map[string]string {
	l := map[string]string{
		"org.opencontainers.image.title":    s.Name,
		"org.opencontainers.image.version":  s.Version,
		"org.opencontainers.image.source":   source,
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.created":  s.Created.Format(time.RFC3339),
	}
	if s.Revision != "" {
		l["org.opencontainers.image.revision"] = s.Revision
	}
	return l
}
