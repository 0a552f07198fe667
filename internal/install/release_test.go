package install

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// goreleaser is what of the release's configuration others rely on. The file as a
// whole follows https://goreleaser.com/static/schema.json.
type goreleaser struct {
	Version int `json:"version"`
	Before  struct {
		Hooks []string `json:"hooks"`
	} `json:"before"`
	Builds   []goBuild `json:"builds"`
	Archives []struct {
		ID           string
		IDs          []string `json:"ids"`
		Formats      []string
		NameTemplate string `json:"name_template"`
		Files        []struct{ Src string }
	} `json:"archives"`
	Checksum struct {
		NameTemplate string `json:"name_template"`
		Algorithm    string
		ExtraFiles   []struct{ Glob string } `json:"extra_files"`
	} `json:"checksum"`
	Sboms []struct{ Artifacts string } `json:"sboms"`
	Signs []struct {
		Cmd, Artifacts, Signature string
		Args                      []string
	} `json:"signs"`
	Release struct {
		ExtraFiles []struct{ Glob string } `json:"extra_files"`
	} `json:"release"`
}

type goBuild struct {
	ID, Main, Binary    string
	Goos, Goarch        []string
	Env, Flags, Ldflags []string
	ModTimestamp        string `json:"mod_timestamp"`
}

func releaser(t *testing.T) goreleaser {
	t.Helper()
	var g goreleaser
	if err := yaml.Unmarshal([]byte(read(t, path(t, ".goreleaser.yaml"))), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// What CI files download by name is what a release holds.
func TestArchivesAreCalledAsTheyAreAskedFor(t *testing.T) {
	g := releaser(t)
	var names []string
	for _, a := range g.Archives {
		i := slices.IndexFunc(g.Builds, func(b goBuild) bool { return slices.Equal(a.IDs, []string{b.ID}) })
		if i < 0 || !slices.Equal(a.Formats, []string{"tar.gz"}) {
			t.Fatalf("archive %s is made of %q as %q", a.ID, a.IDs, a.Formats)
		}
		for _, system := range g.Builds[i].Goos {
			for _, arch := range g.Builds[i].Goarch {
				r := strings.NewReplacer("{{ .Version }}", "1.2.3", "{{ .Os }}", system, "{{ .Arch }}", arch)
				names = append(names, r.Replace(a.NameTemplate)+".tar.gz")
			}
		}
	}
	number := `[0-9][0-9A-Za-z.+-]*`
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"} {
		// As action.yml and config/ci/gitlab.yml look for it in checksums.txt.
		wanted := regexp.MustCompile("^remediate_" + number + "_" + platform + "[.]tar[.]gz$")
		if n := len(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return !wanted.MatchString(s) })); n != 1 {
			t.Errorf("%d archives for %s among %q", n, platform, names)
		}
	}
	for _, file := range []string{"action.yml", "config/ci/gitlab.yml"} {
		text := read(t, path(t, file))
		if !strings.Contains(text, "checksums.txt") || !strings.Contains(text, "^remediate_${number}_") {
			t.Errorf("%s asks for other names: change them here too", file)
		}
	}
	if g.Checksum.NameTemplate != "checksums.txt" || g.Checksum.Algorithm != "sha256" {
		t.Errorf("checksums %+v", g.Checksum)
	}
}

func TestReleaseIsReproducibleAndSigned(t *testing.T) {
	g := releaser(t)
	commands, err := os.ReadDir(path(t, "cmd"))
	if err != nil {
		t.Fatal(err)
	}
	if g.Version != 2 || len(g.Builds) != len(commands) {
		t.Errorf("version %d, %d builds for %d commands", g.Version, len(g.Builds), len(commands))
	}
	for _, b := range g.Builds {
		if b.Main != "./cmd/"+b.Binary || !slices.Contains(b.Env, "CGO_ENABLED=0") || !slices.Contains(b.Flags, "-trimpath") || b.ModTimestamp != "{{ .CommitTimestamp }}" {
			t.Errorf("build %+v", b)
		}
		if !strings.Contains(fmt.Sprint(b.Ldflags), "-X main.version=") {
			t.Errorf("%s does not know its version", b.ID)
		}
	}
	if len(g.Sboms) != 1 || g.Sboms[0].Artifacts != "archive" {
		t.Errorf("SBOMs %+v", g.Sboms)
	}
	if len(g.Signs) != 1 || g.Signs[0].Cmd != "cosign" || g.Signs[0].Artifacts != "checksum" || g.Signs[0].Args[0] != "sign-blob" {
		t.Errorf("signatures %+v", g.Signs)
	}
	for _, list := range [][]struct{ Glob string }{g.Checksum.ExtraFiles, g.Release.ExtraFiles} {
		if len(list) != 1 || list[0].Glob != "out/install.yaml" {
			t.Errorf("install.yaml is not among %v", list)
		}
	}
}

// Everything that is run by its name in a release is there.
func TestReleaseRunsWhatIsThere(t *testing.T) {
	workflow := read(t, path(t, ".github", "workflows", "release.yaml"))
	makefile := read(t, path(t, "Makefile"))
	targets := regexp.MustCompile(`(?m)\bmake ([a-z -]+?)(?: VERSION=|$)`).FindAllStringSubmatch(workflow+"\n"+strings.Join(releaser(t).Before.Hooks, "\n"), -1)
	n := 0
	for _, m := range targets {
		for target := range strings.FieldsSeq(m[1]) {
			n++
			if !regexp.MustCompile(`(?m)^` + target + `:`).MatchString(makefile) {
				t.Errorf("there is no target %s in the Makefile", target)
			}
		}
	}
	if n < 4 {
		t.Errorf("only %d targets were found in %q", n, targets)
	}
	// Who can move a tag of an action could run what he likes in a release.
	uses := regexp.MustCompile(`uses: (\S+)`).FindAllStringSubmatch(workflow, -1)
	for _, u := range uses {
		if !regexp.MustCompile(`^[a-z0-9/.-]+@[0-9a-f]{40}$`).MatchString(u[1]) {
			t.Errorf("%s is not pinned to a commit", u[1])
		}
	}
	if len(uses) < 4 || strings.Contains(regexp.MustCompile(`(?s)run: \|.*?(\n\n|$)`).FindString(workflow), "${{") {
		t.Errorf("%d actions; an expression stands in a script", len(uses))
	}
}

// Whoever builds with Docker gets the same as `make image` makes.
func TestDockerfile(t *testing.T) {
	text := read(t, path(t, "Dockerfile"))
	stages := regexp.MustCompile(`(?m)^FROM (?:--\S+ )?(\S+)`).FindAllStringSubmatch(text, -1)
	for i, s := range stages {
		if want := map[bool]string{true: "golang:1.26", false: "scratch"}[i == 0]; s[1] != want {
			t.Errorf("stage %d is built on %s, want %s", i, s[1], want)
		}
	}
	if strings.Count(text, "USER 65532:65532") != 2 || len(stages) != 3 {
		t.Errorf("%d stages, or one runs as root", len(stages))
	}
	image := read(t, path(t, "tools", "release", "image", "image.go"))
	for _, same := range []string{"HOME=", "PATH=/usr/local/bin", "/usr/local/bin/"} {
		if !strings.Contains(text, same) || !strings.Contains(image, same) {
			t.Errorf("%s is not in both", same)
		}
	}
	if _, err := os.Stat(filepath.Join(root(t), ".dockerignore")); err != nil {
		t.Error(err)
	}
}
