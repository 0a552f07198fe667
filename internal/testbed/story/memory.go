//go:build linux

package story

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Memory says what the processes of this bed have resident, the largest first, as
// the kernel counts it (proc_pid_status(5), VmRSS). In namespaces of their own all
// processes are the test's.
func (b *Bed) Memory() string {
	type use struct {
		name string
		kib  int
	}
	byName := map[string]use{}
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	total := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		name, kib := field(string(text), "Name:"), 0
		if n, err := strconv.Atoi(strings.TrimSuffix(field(string(text), "VmRSS:"), " kB")); err == nil {
			kib = n
		}
		total += kib
		byName[name] = use{name, byName[name].kib + kib}
	}
	var uses []use
	for _, u := range byName {
		uses = append(uses, u)
	}
	slices.SortFunc(uses, func(a, b use) int { return b.kib - a.kib })
	var out strings.Builder
	fmt.Fprintf(&out, "resident: %d MiB:", total/1024)
	for _, u := range uses {
		fmt.Fprintf(&out, " %s %d", u.name, u.kib/1024)
	}
	return out.String()
}

func field(text, name string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
