// The view of a message, as the API answers it.
import type { components } from '../../api/schema'

type Schemas = components['schemas']

export type Part = Schemas['Part']
export type PartType = Part['type']
/** The part with the given type. A few parts have several types. */
export type PartOf<T extends PartType, P extends Part = Part> = P extends Part ? ([T & P['type']] extends [never] ? never : P) : never
export type Content = Schemas['MessageContent']
export type NamedFile = Schemas['MessageFile']
export type FileLink = Schemas['FileLink']
export type Names = Schemas['Names']
export type Field = Schemas['PartField']
export type RecordPart = PartOf<'chatrecord'>
