package standin

// Strict makes every warning of the compiler an error.
func Strict() Option {
	return func(b *build) { b.flags = append(b.flags, "-Wall", "-Wextra", "-Werror") }
}
