/*
 * The C interface of WeCom's finance library: 17 functions on three types. The
 * vendor's documents 91774 and 91552 describe it. The project wrote this file.
 */
#ifndef YUNDUO_STANDIN_WEWORKFINANCESDK_C_H
#define YUNDUO_STANDIN_WEWORKFINANCESDK_C_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct WeWorkFinanceSdk_t WeWorkFinanceSdk_t;

typedef struct Slice_t {
	char *buf;
	int len;
} Slice_t;

typedef struct MediaData {
	char *outindexbuf;
	int out_len;
	char *data;
	int data_len;
	int is_finish;
} MediaData_t;

/* Returns a handle, or NULL on failure. One thread at a time may use a handle. */
WeWorkFinanceSdk_t *NewSdk(void);

/* An int function returns 0 or a code from 10000, unless its name says that it
 * returns a length or a flag. */
int Init(WeWorkFinanceSdk_t *sdk, const char *corpid, const char *secret);

/* Returns the records after seq, without seq itself. timeout is in seconds. */
int GetChatData(WeWorkFinanceSdk_t *sdk, unsigned long long seq, unsigned int limit,
		const char *proxy, const char *passwd, int timeout, Slice_t *chatDatas);

/* It takes no handle, but an Init must have succeeded in this process. */
int DecryptData(const char *encrypt_key, const char *encrypt_msg, Slice_t *msg);

/* Note the order: indexbuf, then sdkFileid. */
int GetMediaData(WeWorkFinanceSdk_t *sdk, const char *indexbuf, const char *sdkFileid,
		 const char *proxy, const char *passwd, int timeout, MediaData_t *media_data);

void DestroySdk(WeWorkFinanceSdk_t *sdk);

Slice_t *NewSlice(void);
void FreeSlice(Slice_t *slice);
char *GetContentFromSlice(Slice_t *slice);
int GetSliceLen(Slice_t *slice);

MediaData_t *NewMediaData(void);
void FreeMediaData(MediaData_t *media_data);
char *GetOutIndexBuf(MediaData_t *media_data);
char *GetData(MediaData_t *media_data);
int GetIndexLen(MediaData_t *media_data);
int GetDataLen(MediaData_t *media_data);
int IsMediaDataFinish(MediaData_t *media_data);

#ifdef __cplusplus
}
#endif

#endif
