// Runs networks in onnxruntime-web on Node's WebAssembly, as tests/fusing/test_web.py asks for.
// node run.mjs JOB.json, in a folder that has node_modules/onnxruntime-web: a list of {model, feeds}, of which each
// feed is {name: {type, dims, file}} with the numbers' bytes; prints a list of {name: {type, dims, base64}}.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const ort = createRequire(join(process.cwd(), 'run.mjs'))('onnxruntime-web');
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';
const arrays = {
  float32: Float32Array, float64: Float64Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array,
};

const answers = [];
for (const { model, feeds } of JSON.parse(readFileSync(process.argv[2], 'utf8'))) {
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)), {
    executionProviders: ['wasm'],
  });
  const tensors = {};
  for (const [name, { type, dims, file }] of Object.entries(feeds)) {
    const bytes = new Uint8Array(readFileSync(file));
    tensors[name] = new ort.Tensor(type, new arrays[type](bytes.buffer, 0, bytes.length / arrays[type].BYTES_PER_ELEMENT), dims);
  }
  const found = await session.run(tensors);
  const answer = {};
  for (const name of session.outputNames) {
    const { type, dims, data } = found[name];
    answer[name] = { type, dims, base64: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') };
  }
  answers.push(answer);
  await session.release();
}
process.stdout.write(JSON.stringify(answers));
