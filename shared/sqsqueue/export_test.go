package sqsqueue

// Readable is exported for the test of future formats.
var Readable = readable
