package standin

// Strict turns every warning of the compiler into an error.
func Strict() Option {
	return func(b *build) { b.flags = append(b.flags, "-Wall", "-Wextra", "-Werror") }
}
