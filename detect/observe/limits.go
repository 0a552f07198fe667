package observe

const mib = 1 << 20

// limits bound what reading untrusted input may cost. Sizes are bytes.
type limits struct {
	// object is the size of one object, or of one YAML document that is read
	// as a whole. The API server itself stores at most 1.5 MiB per object
	// (etcd's --max-request-bytes).
	object int
	// expanded is the size of one document after its aliases are followed.
	expanded int
	// depth of nesting of one object.
	depth int
	// objects read in all.
	objects int
	// files of a folder or entries of an archive.
	files int
	// entry is the size of one entry of a tar archive, which is held on disk
	// while it is read; archive is the unpacked size of a whole archive.
	entry, archive int64
}

func defaultLimits() limits {
	return limits{
		object:   4 * mib,
		expanded: 16 * mib,
		depth:    100,
		objects:  4_000_000,
		files:    200_000,
		entry:    4096 * mib,
		archive:  8192 * mib,
	}
}
