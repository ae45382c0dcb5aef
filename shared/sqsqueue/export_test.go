package sqsqueue

// Readable is opened for the test of formats that are not there yet.
var Readable = readable
