/** The bytes of a file in base64. */
export function base64Of(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => {
      const { result } = reader;
      const [, text = ''] = typeof result === 'string' ? result.split(',') : [];
      resolve(text);
    };
    reader.onerror = () => {
      reject(new Error('the picture cannot be read'));
    };
    reader.readAsDataURL(file);
  });
}
