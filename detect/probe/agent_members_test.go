package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/detect/mesh"
)

// volume is a directory as the kubelet makes it of a ConfigMap: files are links
// through ..data, which is replaced in one step.
type volume struct {
	t   *testing.T
	dir string
	n   int
}

func (v *volume) write(files map[string][]byte) {
	v.t.Helper()
	v.n++
	data := fmt.Sprintf("..2026_%d", v.n)
	must := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(v.dir, data), 0o755))
	for name, b := range files {
		must(os.WriteFile(filepath.Join(v.dir, data, name), b, 0o644))
		if _, err := os.Lstat(filepath.Join(v.dir, name)); err != nil {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)))
		}
	}
	must(os.Symlink(data, filepath.Join(v.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(v.dir, "..data_tmp"), filepath.Join(v.dir, "..data")))
	if v.n > 1 {
		must(os.RemoveAll(filepath.Join(v.dir, fmt.Sprintf("..2026_%d", v.n-1))))
	}
}

func shardFiles(t *testing.T, n, limit int) map[string][]byte {
	t.Helper()
	shards, err := mesh.Encode(*membership(n), limit)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for i, b := range shards {
		out[mesh.ShardName(i)] = b
	}
	return out
}

func TestMembersFollowTheKubelet(t *testing.T) {
	v := &volume{t: t, dir: t.TempDir()}
	m := &Members{Dir: v.dir}
	several := shardFiles(t, 300, 6<<10)
	if len(several) < 2 {
		t.Fatal("the test wants several shards")
	}
	torn := shardFiles(t, 200, 4<<10)
	torn[mesh.ShardName(0)] = several[mesh.ShardName(0)]
	large := map[string][]byte{mesh.ShardName(0): make([]byte, maxShardFile+1)}
	steps := []struct {
		name  string
		files map[string][]byte // nil: nothing happens
		nodes int               // 0: no new membership
		err   string
	}{
		{"empty", nil, 0, "is the ConfigMap of the probes' members filled and mounted?"},
		{"still empty", nil, 0, ""},
		{"first", shardFiles(t, 3, 0), 3, ""},
		{"unchanged", nil, 0, ""},
		{"grown", shardFiles(t, 4, 0), 4, ""},
		{"several shards", several, 300, ""},
		{"half an update", torn, 0, "membership shard"},
		{"still half", nil, 0, ""},
		{"garbage", map[string][]byte{mesh.ShardName(0): []byte("garbage")}, 0, "not gzip"},
		{"too large", large, 0, "larger than"},
		{"well again", shardFiles(t, 5, 0), 5, ""},
		{"the same once more", shardFiles(t, 5, 0), 5, ""},
	}
	for _, s := range steps {
		if s.files != nil {
			for name := range several { // links of shards that are gone go too
				if _, ok := s.files[name]; !ok {
					os.Remove(filepath.Join(v.dir, name))
				}
			}
			v.write(s.files)
		}
		got, err := m.Poll()
		if (s.err == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), s.err) || !strings.Contains(err.Error(), v.dir)) {
			t.Fatalf("%s: error %v, want %q", s.name, err, s.err)
		}
		if nodes := len(deref(got).Members); nodes != s.nodes {
			t.Fatalf("%s: %d nodes, want %d", s.name, nodes, s.nodes)
		}
	}
}

func deref(m *mesh.Membership) mesh.Membership {
	if m == nil {
		return mesh.Membership{}
	}
	return *m
}

// TestMembersNoticesWriteInPlace: files that somebody wrote without the kubelet.
func TestMembersNoticesWriteInPlace(t *testing.T) {
	dir := t.TempDir()
	m := &Members{Dir: dir}
	for _, n := range []int{2, 3} {
		for name, b := range shardFiles(t, n, 0) {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := m.Poll()
		if err != nil || len(deref(got).Members) != n {
			t.Fatalf("%d members, %v, want %d", len(deref(got).Members), err, n)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, mesh.ShardName(1)), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Poll(); err == nil || got != nil {
		t.Errorf("a directory in place of a shard gives %v, %v", got, err)
	}
}
