package cifiles

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func parse(t *testing.T, file string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(read(t, filepath.Join(root(t), file))), into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readIf gives "" for a file that is not there.
func readIf(file string) string {
	b, _ := os.ReadFile(file)
	return string(b)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// have reports whether the programs are there that a script runs. A test
// returns early without them, and says so.
func have(t *testing.T, programs ...string) bool {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Logf("no %s program: not tested", p)
			return false
		}
	}
	return true
}

// stub stands in for the program: it writes its arguments down, one a line, and
// answers as the environment says.
const stub = `#!/bin/sh
if [ "$1" = version ]; then echo "remediate stub"; exit 0; fi
for a in "$@"; do printf '%s\n' "$a" >>"$STUB_ARGS"; done
echo --- >>"$STUB_ARGS"
printf '%b' "$STUB_SAYS" >&2
case "$*" in
*--output=github*) echo '::error file=a.yaml,line=1::bad' ;;
*--output=sarif*)
	if [ -n "$STUB_NO_SARIF" ]; then echo 'Error: no SARIF' >&2; exit 1; fi
	echo '{"version":"2.1.0"}'
	;;
*) printf '%b' "${STUB_TEXT:-verdict\n}" ;;
esac
exit "${STUB_CODE:-0}"
`

const number = "1.2.3-rc.1"

// archiveName is how the releases name the archive for this machine.
func archiveName(version string) string {
	return fmt.Sprintf("remediate_%s_linux_%s.tar.gz", version, runtime.GOARCH)
}

func archive(t *testing.T, binary []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	zip, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(zip)
	for name, content := range map[string][]byte{"LICENSE": []byte("text\n"), "remediate": binary} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// releases serves one release, as the latest too. asked are the paths asked for.
type releases struct {
	url   string
	files map[string][]byte
	asked []string
}

func serve(t *testing.T, binary []byte) *releases {
	t.Helper()
	packed := archive(t, binary)
	other := strings.Replace(archiveName(number), "linux", "plan9", 1)
	sums := fmt.Sprintf("%064d  %s\n%x  %s\n", 0, other, sha256.Sum256(packed), archiveName(number))
	r := &releases{files: map[string][]byte{"checksums.txt": []byte(sums), archiveName(number): packed}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asked = append(r.asked, req.URL.Path)
		name, latest := strings.CutPrefix(req.URL.Path, "/latest/download/")
		if !latest {
			name = strings.TrimPrefix(req.URL.Path, "/download/v"+number+"/")
		}
		content, ok := r.files[name]
		if !ok {
			http.NotFound(w, req)
			return
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// sums replaces checksums.txt.
func (r *releases) sums(text string) { r.files["checksums.txt"] = []byte(text) }

// result is what a script answered.
type result struct {
	code         int
	stdout, both string
}

// script runs a script as a CI system would, with nothing in the environment
// but what is given.
func script(t *testing.T, shell []string, dir, text string, env []string, args ...string) result {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.sh")
	write(t, file, text)
	var log transcript
	cmd := exec.Command(shell[0], slices.Concat(shell[1:], []string{file}, args)...)
	cmd.Dir, cmd.Env = dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "LC_ALL=C"}, env...)
	cmd.Stdout, cmd.Stderr = stream{&log, true}, stream{&log, false}
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), log.stdout.String(), log.both.String()}
}

// transcript is what a script wrote; its two streams are written at once.
type transcript struct {
	mu           sync.Mutex
	stdout, both bytes.Buffer
}

type stream struct {
	*transcript
	stdout bool
}

func (s stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdout {
		s.transcript.stdout.Write(b)
	}
	return s.both.Write(b)
}
